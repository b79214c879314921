"""What models' servers stream, read kindly: one decoder for each format. Only what is needed must be right."""
