"""What a training run leaves behind: its folder, and how every file of it is written."""
