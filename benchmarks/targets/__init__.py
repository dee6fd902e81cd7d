"""What load is put on: one file per protocol behind one Protocol. The only files here with sockets."""
