"""Change a saved guest: fields by their path, or an image as JSON and back."""
