Models can search the web (`search_ddgs`, `search_tavily`), read a page (`url_extract`, which keeps out of private networks), and use the files of one folder (`files`).
