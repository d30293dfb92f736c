// Value and Path: a JSON document as plain data, and where in it one is.
#pragma once

#include <galley/core/result.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace galley::inline v1::io {

/// A JSON value. Objects keep the order of their members.
class Value {
 public:
  /// What it is. Numbers written without fraction or exponent that fit 64 bits are integers.
  enum class Type : std::uint8_t { null, boolean, integer, number, text, list, object };
  struct Member;
  using List = std::vector<Value>;
  using Object = std::vector<Member>;

  Value();
  Value(const Value&);
  Value(Value&&) noexcept;
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;
  ~Value();
  template <std::integral T>
    requires(std::same_as<T, bool> || std::is_signed_v<T> || sizeof(T) < sizeof(std::int64_t))
  Value(T value);            // NOLINT: values are written as they are read
  Value(double value);       // NOLINT
  Value(std::string value);  // NOLINT
  Value(const char* value);  // NOLINT: a text, not a bool
  Value(List value);         // NOLINT
  Value(Object value);       // NOLINT

  Type type() const noexcept { return static_cast<Type>(data_.index()); }
  /// What it holds, or null where it is of another type.
  const bool* boolean() const noexcept { return std::get_if<bool>(&data_); }
  const std::int64_t* integer() const noexcept { return std::get_if<std::int64_t>(&data_); }
  const double* number() const noexcept { return std::get_if<double>(&data_); }
  const std::string* text() const noexcept { return std::get_if<std::string>(&data_); }
  const List* list() const noexcept { return std::get_if<List>(&data_); }
  const Object* object() const noexcept { return std::get_if<Object>(&data_); }
  List* list() noexcept { return std::get_if<List>(&data_); }
  Object* object() noexcept { return std::get_if<Object>(&data_); }

  /// The member of this name; null where this is no object or has none.
  const Value* find(std::string_view name) const noexcept;
  /// Adds a member to an object, or to a null, which becomes one.
  Value& set(std::string name, Value value);

  friend bool operator==(const Value& a, const Value& b);

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Object> data_;
};

struct Value::Member {
  std::string name;
  Value value;
  friend bool operator==(const Member&, const Member&) = default;
};

/// Where one is in a document, such as `$.stages[2].options`: a step beneath the place above, which
/// has to outlive it. Costs nothing until an error is told.
class Path {
 public:
  /// The document itself.
  Path() = default;
  /// A member or an element of what is at `above`. The name is borrowed.
  Path(const Path& above, std::string_view name) noexcept : above_(&above), name_(name) {}
  Path(const Path& above, std::size_t index) noexcept : above_(&above), index_(index) {}

  /// "$.stages[2]"; names that are no identifiers as `$["my net"]`, long ones cut.
  std::string to_text() const;

  /// "$.stages[2]: what", an `invalid_argument`.
  Error error(std::string_view what) const;
  /// "$.stages[2]: expected <wanted>, got <the value>".
  Error wrong(std::string_view wanted, const Value& got) const;

 private:
  const Path* above_ = nullptr;
  std::string_view name_ = {};
  std::size_t index_ = 0;
};

/// What is refused of a text before it is looked at any closer.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 20U;
  /// How many lists and objects may lie in one another.
  std::size_t max_depth = 64;
  /// How many values there may be in all.
  std::size_t max_values = std::size_t{1} << 16U;
};

/// Reads JSON.
///
/// Errors  invalid_argument, with path, line and column: no JSON, two members of one name, or more
///         than the limits
/// Cost    linear; memory in proportion to the text, which is bounded
Result<Value> parse_json(std::string_view text, const JsonLimits& limits = {});

/// The value as JSON over several lines, or in one. A number that JSON does not have is null.
std::string to_json(const Value& value);
std::string to_json_line(const Value& value);

/// A value for an error's text: scalars as JSON, cut when long; others by their type.
std::string summary(const Value& value);

/// "a, b and 3 more": at most so many names as one reads.
std::string list_names(const std::vector<std::string>& names);

// ---- implementation ----------------------------------------------------------------------------

// Here, where a member of an object is a complete type.
inline Value::Value() = default;
inline Value::Value(const Value&) = default;
inline Value::Value(Value&&) noexcept = default;
inline Value& Value::operator=(const Value&) = default;
inline Value& Value::operator=(Value&&) noexcept = default;
inline Value::~Value() = default;
template <std::integral T>
  requires(std::same_as<T, bool> || std::is_signed_v<T> || sizeof(T) < sizeof(std::int64_t))
Value::Value(T value) {
  if constexpr (std::same_as<T, bool>) {
    data_ = value;
  } else {
    data_ = static_cast<std::int64_t>(value);
  }
}
inline Value::Value(double value) : data_(value) {}
inline Value::Value(std::string value) : data_(std::move(value)) {}
inline Value::Value(const char* value) : data_(std::string(value)) {}
inline Value::Value(List value) : data_(std::move(value)) {}
inline Value::Value(Object value) : data_(std::move(value)) {}

inline bool operator==(const Value& a, const Value& b) {
  return a.data_ == b.data_;
}

inline const Value* Value::find(std::string_view name) const noexcept {
  const Object* members = object();
  if (members == nullptr) return nullptr;
  for (const Member& member : *members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

inline Value& Value::set(std::string name, Value value) {
  if (object() == nullptr) data_ = Object();
  object()->push_back({std::move(name), std::move(value)});
  return object()->back().value;
}

}  // namespace galley::inline v1::io
