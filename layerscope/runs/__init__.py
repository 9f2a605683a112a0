"""From a recipe to a run folder and back: recipes, pipelines, execution, the store, loading, export.

The way through the modules: `recipe` and `pipeline` say what a technique brings; `plan` turns a recipe file into tasks,
`work` does them, `execute` keeps the folder (`store`, `ledger`, `table`, `arrays`, `nexus`); `load`, `present`,
`export` and `validate` read it. Nothing is imported here, so that the command line stays quick.
"""
