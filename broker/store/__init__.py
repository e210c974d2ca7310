"""The database, the packet archive, the frames and the catalogues."""
