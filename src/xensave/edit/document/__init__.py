"""An image as JSON and back: its headers, records and fields, bit for bit."""
