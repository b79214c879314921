A thousand clients that arrive in the same instant are answered sooner, and commands and other small requests cost less.
