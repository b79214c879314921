What the tools of a turn have done is saved while the turn goes on, so a crash in the middle of a long one costs the round under way only, and no call is made twice without asking.
