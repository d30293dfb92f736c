#include <galley/io/graph.hpp>
#include <src/io/graph/check.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::io::detail {

namespace {

std::optional<Value> scalar_of(const std::string& text, const Schema& schema);

/// "1, 2" as a list of such.
std::optional<Value> list_of(std::string_view text, const Schema& schema) {
  Value::List items;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(", "), text.size());
    std::optional<Value> item = scalar_of(std::string(text.substr(0, end)), schema.element[0]);
    if (!item.has_value()) return std::nullopt;
    items.push_back(*std::move(item));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return Value(std::move(items));
}

/// An option's text as a value of this schema; none where it is no such.
std::optional<Value> scalar_of(const std::string& text, const Schema& schema) {
  std::optional<Value> value;
  const char* end = text.data() + text.size();
  if (schema.type == Schema::Type::integer) {
    std::int64_t number = 0;
    if (std::from_chars(text.data(), end, number).ptr == end) value = Value(number);
  } else if (schema.type == Schema::Type::number) {
    double number = 0;
    if (std::from_chars(text.data(), end, number).ptr == end) value = Value(number);
  } else if (schema.type == Schema::Type::text || schema.type == Schema::Type::choice ||
             schema.type == Schema::Type::duration) {
    value = Value(text);
  } else if (schema.type == Schema::Type::list) {
    value = list_of(text, schema);
  }
  if (value.has_value() && !check_scalar(*value, schema, Path()).has_value()) value.reset();
  return value;
}

/// Prints what descriptions say.
class Printer {
  using Options = decltype(Description::options);

 public:
  explicit Printer(const Registry& registry) : registry_(registry.contents()) {}

  Value node(const NodeHeader& node) const {
    for (const auto& [name, servable] : registry_.servables) {
      if (servable.node.get() != &node) continue;
      Value use;
      use.set("use", Value(name));
      return use;
    }
    if (std::optional<Value> source = source_of(node)) return *std::move(source);
    const auto kind = registry_.kinds.find(node.kind);
    if (kind == registry_.kinds.end()) return opaque(node);
    Value printed;
    printed.set("kind", Value(std::string(node.kind)));
    add_children(node, kind->second.schema, printed);
    add_options(node, kind->second.schema, printed);
    return printed;
  }

 private:
  /// The document of a graph that was loaded, where it can stand inside another.
  static std::optional<Value> source_of(const NodeHeader& node) {
    GraphSource source;
    ControlRequest request(source);
    if (!node.table->control(node, request).has_value()) return std::nullopt;
    Result<Value> document = parse_json(source.json, {.max_bytes = source.json.size()});
    if (!document.has_value() || document->find("define") != nullptr) return std::nullopt;
    return *std::move(document);
  }

  Value opaque(const NodeHeader& node) const {
    Value printed;
    printed.set("kind", "opaque");
    printed.set("name", Value(node.name));
    if (const std::string kind(node.kind); kind != "opaque") printed.set("of_kind", Value(kind));
    Value::List children = children_of(node);
    if (!children.empty()) printed.set("children", Value(std::move(children)));
    return printed;
  }

  Value::List children_of(const NodeHeader& node) const {
    Value::List children;
    node.table->each_child(node,
                           [&](const NodeHeader& child) { children.push_back(this->node(child)); });
    return children;
  }

  /// Under the field that is meant: of one child, or of a list of them. Beside a list a child that
  /// may be left out is there where an option says so.
  void add_children(const NodeHeader& node, const Schema& schema, Value& printed) const {
    const Options options = node.table->describe(node).options;
    Value::List children = children_of(node);
    const bool any_list = std::ranges::any_of(schema.fields, is_child_list);
    for (const Field& field : schema.fields) {
      if (is_child_list(field)) printed.set(field.name, Value(std::exchange(children, {})));
      if (field.schema.type != Schema::Type::servable || children.empty()) continue;
      const bool left_out =
          any_list && !field.required && std::ranges::none_of(options, [&](const auto& option) {
            return option.second == field.name;
          });
      if (left_out) continue;
      printed.set(field.name, std::move(children.front()));
      children.erase(children.begin());
    }
  }
  static bool is_child_list(const Field& field) {
    return field.schema.type == Schema::Type::list &&
           field.schema.element[0].type == Schema::Type::servable;
  }

  /// The options that the description gives as texts, under the names that they have.
  void add_options(const NodeHeader& node, const Schema& schema, Value& printed) const {
    const Options options = node.table->describe(node).options;
    add_fields(options, "", schema.fields, printed);
    for (const Field& field : schema.fields) {
      if (field.schema.type != Schema::Type::object) continue;
      Value inner;
      add_fields(options, "", field.schema.fields, inner);
      if (inner.object() != nullptr) printed.set(field.name, std::move(inner));
    }
  }

  /// Those of an object's fields whose names, after `before`, are options: "budget.ratio".
  void add_fields(const Options& options, const std::string& before,
                  const std::vector<Field>& fields, Value& into) const {
    for (const Field& field : fields) {
      const std::string full = before + field.name;
      if (field.schema.type == Schema::Type::object) {
        Value inner;
        add_fields(options, full + ".", field.schema.fields, inner);
        if (inner.object() != nullptr) into.set(field.name, std::move(inner));
        continue;
      }
      if (is_list_of_objects(field)) {
        add_items(options, full, field, into);
        continue;
      }
      // A part of something in a list has that before its options; else there is one such.
      const std::string within = before.empty() ? before : full + '.';
      for (const auto& [name, text] : options) {
        if (name != full) continue;
        std::optional<Value> value = field.schema.type == Schema::Type::named
                                         ? policy_of(text, options, within, field.schema)
                                         : scalar_of(text, field.schema);
        if (value.has_value()) into.set(field.name, *std::move(value));
      }
    }
  }

  static bool is_list_of_objects(const Field& field) {
    return field.schema.type == Schema::Type::list &&
           field.schema.element[0].type == Schema::Type::object;
  }

  /// A list of objects, whose options are "tensors.0.input" and so on.
  void add_items(const Options& options, const std::string& full, const Field& list,
                 Value& into) const {
    Value::List items;
    for (;;) {
      Value item;
      const std::string before = full + '.' + std::to_string(items.size()) + '.';
      add_fields(options, before, list.schema.element[0].fields, item);
      if (item.object() == nullptr) break;
      items.push_back(std::move(item));
    }
    if (!items.empty()) into.set(list.name, Value(std::move(items)));
  }

  /// A policy that goes by its kind's name, with its own options, `before` their names; none where
  /// not all that it needs is among them. What only code can say is opaque, and does not load.
  std::optional<Value> policy_of(const std::string& kind, const Options& options,
                                 const std::string& before, const Schema& schema) const {
    const Maker* maker = find_maker(registry_, schema, kind);
    Value policy;
    policy.set("kind", Value(kind));
    if (maker == nullptr) return kind == "opaque" ? std::optional(policy) : std::nullopt;
    add_fields(options, before, maker->schema.fields, policy);
    for (const Field& field : maker->schema.fields) {
      if (field.required && policy.find(field.name) == nullptr) return std::nullopt;
    }
    return policy;
  }

  const Contents& registry_;
};

}  // namespace

std::string print(const NodeHeader& node, const Registry& registry) {
  GraphSource source;
  ControlRequest request(source);
  if (node.table->control(node, request).has_value()) return source.json;
  return to_json(Printer(registry).node(node));
}

}  // namespace galley::inline v1::io::detail
