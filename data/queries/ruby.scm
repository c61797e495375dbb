; Ruby.

; private def f
(call arguments: (argument_list (method))) @outer
(call arguments: (argument_list (singleton_method))) @outer

(method) @definition.method
(singleton_method) @definition.method
(class) @definition.class
(module) @definition.module
(assignment left: (constant) @name) @definition.constant
(assignment left: (scope_resolution) @name) @definition.constant
(alias name: (_) @name) @definition.method

(comment) @comment

(call method: (identifier) @reference)
(constant) @reference
