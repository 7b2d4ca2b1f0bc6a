"""What an auditor asks an output folder: is it whole, what was decided and why, what was left out, who looked."""
