"""What an analyst does with rule files before they are live, and how they go live: `weir rules VERB`."""
