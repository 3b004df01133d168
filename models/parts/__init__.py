"""What `models/networks.py` is made of; nothing here imports anything else of models."""
