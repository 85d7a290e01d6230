"""How a decision is shown: pages, charts, tables, the report on paper and the routes. It computes no money."""
