`durability: power` has every answered turn survive a power cut as well.
