"""Pictures, video and sound: read frame by frame, written all or nothing."""
