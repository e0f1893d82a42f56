"""What wraps a stream: the files of xl, libvirt, xenopsd and xend, and what they say of a guest."""
