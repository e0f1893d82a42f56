"""What libclang says of C headers: constants, structs, layouts."""
