`agentctl qr`, the start-up lines and *Phone* in the console show a QR code with a link that works once: it makes a key and a profile for the phone, whose browser keeps the key.
