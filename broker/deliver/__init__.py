"""What leaves: encoded topics and everything behind them."""
