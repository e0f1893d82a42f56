"""What Xen does to a policy in turn: invented or copied, compared, clamped."""
