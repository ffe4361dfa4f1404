"""What tasks hold, encrypted where it is stored."""
