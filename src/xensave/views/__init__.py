"""Views: values in, output out. Nothing is computed here and nothing else prints."""
