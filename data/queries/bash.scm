; Shell. Variables count outside of functions.

(function_definition) @definition.function
(variable_assignment name: (variable_name) @name) @definition.variable

(comment) @comment

(command_name (word) @reference)
