"""Model servers of many vendors, each of which refuses what that vendor refuses, in its words; all in memory."""
