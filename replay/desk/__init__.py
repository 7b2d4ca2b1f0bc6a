"""What people at the bank's fraud desk do: look who is restricted and why, give orders, work off cases."""
