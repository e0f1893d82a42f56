"""What a layout is compiled to: its fields as objects that read and write a body."""
