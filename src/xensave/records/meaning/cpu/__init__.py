"""What a processor's state says: features, registers, save areas, memory types."""
