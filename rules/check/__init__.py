"""What `weir rules check` says: findings with stable codes, their text, and the checks that need a whole pack."""
