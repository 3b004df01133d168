"""What both floors need: files, devices, random streams, images, logs. Imports nothing of ours."""
