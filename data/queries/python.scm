; Python. Variables count at the top level of a module and of a class.

(decorated_definition) @outer

(function_definition body: (block) @docbody) @definition.function
(class_definition body: (block) @docbody) @definition.class
(type_alias_statement left: (type (identifier) @name)) @definition.type
(type_alias_statement left: (type (generic_type (identifier) @name))) @definition.type
(expression_statement (assignment left: (identifier) @name)) @definition.variable

(comment) @comment

(call function: (identifier) @reference)
(call function: (attribute attribute: (identifier) @reference))
(decorator (identifier) @reference)
(decorator (attribute attribute: (identifier) @reference))
(class_definition superclasses: (argument_list (identifier) @reference))
(class_definition superclasses: (argument_list (attribute attribute: (identifier) @reference)))
(type (identifier) @reference)
(type (generic_type (identifier) @reference))
(import_from_statement name: (dotted_name (identifier) @reference))
