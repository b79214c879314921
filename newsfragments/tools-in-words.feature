An embedded model whose chat template knows no tools is told of them in words.
