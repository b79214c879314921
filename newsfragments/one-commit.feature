Turns that end at the same time are saved by one commit, and each by itself where that fails. With `durability` set to `power` a crowd so waits for one write to the disk and not for one each.
