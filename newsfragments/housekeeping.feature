Titles, tags, follow-ups and other requests that apps make on their own account are told from messages of the user and answered beside the session; `housekeeping` in the configuration says how.
