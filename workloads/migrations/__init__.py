"""One linear Alembic history for the tables of all rooms, plain operations only."""
