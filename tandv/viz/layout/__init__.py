"""What every plot shares: panels, titles, ticks, colours, styles, and the table behind each Axes."""
