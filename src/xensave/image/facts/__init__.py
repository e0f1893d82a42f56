"""What an image says of its guest: type, configuration, records, pages by type, device model."""
