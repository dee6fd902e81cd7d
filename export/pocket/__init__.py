"""The pocket voice: a miniature Chatterbox trained from nothing on speech that a synthesiser makes."""
