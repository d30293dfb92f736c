#include <galley/core/result.hpp>
#include <galley/io/schema.hpp>
#include <galley/io/value.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1::io {

namespace {

constexpr std::int64_t no_least = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t no_most = std::numeric_limits<std::int64_t>::max();

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
constexpr Unit units[] = {{"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1'000}, {"ns", 1}};

std::string number_text(double value) {
  return to_json_line(Value(value));
}

/// "from 1 to 64", or what of it is known.
std::string range(bool low, const std::string& least, bool high, const std::string& most) {
  if (low && high) return " from " + least + " to " + most;
  if (low) return " of at least " + least;
  if (high) return " of at most " + most;
  return "";
}

std::string plural(std::size_t n) {
  return n == 1 ? " item" : " items";
}

std::string length_text(const Schema& schema, const char* what) {
  if (schema.min_items == schema.max_items) return std::to_string(schema.min_items) + what;
  return std::to_string(schema.min_items) + " to " + std::to_string(schema.max_items) + what;
}

std::string list_text(const Schema& schema) {
  std::string each;
  if (!schema.element.empty()) each = ", each " + schema.element[0].expected();
  return "a list of " + length_text(schema, plural(schema.max_items).c_str()) + each;
}

std::string named_text(const Schema& schema) {
  if (schema.families.empty()) return "a name";
  const std::string name(schema.families.front().name);
  const bool vowel = std::string_view("aeiou").find(name[0]) != std::string_view::npos;
  return (vowel ? "an " : "a ") + name;
}

bool is_integer(const Value& value, const Schema& schema) {
  const std::int64_t* number = value.integer();
  return number != nullptr && *number >= schema.least && *number <= schema.most;
}

bool is_number(const Value& value, const Schema& schema) {
  double number = 0;
  if (const std::int64_t* integer = value.integer()) {
    number = static_cast<double>(*integer);
  } else if (const double* floating = value.number()) {
    number = *floating;
  } else {
    return false;
  }
  return std::isfinite(number) && number >= schema.low && number <= schema.high;
}

bool is_duration(const Value& value, const Schema& schema) {
  if (value.text() == nullptr) return false;
  const auto time = parse_duration(*value.text());
  return time.has_value() && *time >= schema.least && *time <= schema.most;
}

bool is_text(const Value& value, const Schema& schema) {
  return value.text() != nullptr && value.text()->size() >= schema.min_items &&
         value.text()->size() <= schema.max_items;
}

bool is_choice(const Value& value, const Schema& schema) {
  return value.text() != nullptr && std::find(schema.choices.begin(), schema.choices.end(),
                                              *value.text()) != schema.choices.end();
}

bool fits(const Value& value, const Schema& schema) {
  switch (schema.type) {
    case Schema::Type::boolean:
      return value.boolean() != nullptr;
    case Schema::Type::integer:
      return is_integer(value, schema);
    case Schema::Type::number:
      return is_number(value, schema);
    case Schema::Type::text:
      return is_text(value, schema);
    case Schema::Type::choice:
      return is_choice(value, schema);
    case Schema::Type::duration:
      return is_duration(value, schema);
    default:
      return true;
  }
}

bool merge_fields(std::vector<Field>& into, const std::vector<Field>& other) {
  if (into.size() != other.size()) return false;
  for (std::size_t i = 0; i < into.size(); ++i) {
    if (into[i].name != other[i].name || into[i].required != other[i].required) return false;
    if (!merge(into[i].schema, other[i].schema)) return false;
  }
  return true;
}

std::string without_namespace(std::string_view name) {
  std::string text(name);
  for (const std::string_view part : {"galley::v1::", "galley::"}) {
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at)) {
      text.erase(at, part.size());
    }
  }
  return text;
}

}  // namespace

std::string to_string(const RowType& type) {
  return type.id == nullptr ? "?" : without_namespace(type.name);
}

std::string to_string(const RowTypes& types) {
  return to_string(types.in) + " -> " + to_string(types.out);
}

std::string Schema::expected() const {
  switch (type) {
    case Type::boolean:
      return "true or false";
    case Type::integer:
      return "an integer" +
             range(least != no_least, std::to_string(least), most != no_most, std::to_string(most));
    case Type::number:
      return "a number" +
             range(std::isfinite(low), number_text(low), std::isfinite(high), number_text(high));
    case Type::text:
      return min_items == 0 ? "a text of at most " + std::to_string(max_items) + " bytes"
                            : "a text of " + length_text(*this, " bytes");
    case Type::choice: {
      std::string all = "one of ";
      for (const std::string& choice : choices) {
        all += (&choice == choices.data() ? "\"" : ", \"") + choice + "\"";
      }
      return all;
    }
    case Type::duration:
      return "a duration such as \"250us\" or \"2ms\"" +
             range(least > 0, duration_text(least), most != no_most, duration_text(most));
    case Type::list:
      return list_text(*this);
    case Type::object:
      return "an object";
    case Type::servable:
      return "a node: a name, {\"use\": ...} or {\"kind\": ...}";
    case Type::named:
      return named_text(*this);
  }
  return "something else";
}

void limit(Schema& schema, const Limits& limits) {
  Schema& numbers =
      schema.type == Schema::Type::list && !schema.element.empty() ? schema.element[0] : schema;
  if (limits.min.has_value()) {
    numbers.low = *limits.min;
    numbers.least = std::max(numbers.least, static_cast<std::int64_t>(std::ceil(*limits.min)));
  }
  if (limits.max.has_value()) {
    numbers.high = *limits.max;
    numbers.most = std::min(numbers.most, static_cast<std::int64_t>(std::floor(*limits.max)));
  }
  schema.min_items = limits.min_items;
  schema.max_items = limits.max_items;
}

Result<void> check_scalar(const Value& value, const Schema& schema, const Path& path) {
  if (fits(value, schema)) return {};
  return path.wrong(schema.expected(), value);
}

bool merge(Schema& into, const Schema& other) {
  if (into.type != other.type || into.element.size() != other.element.size()) return false;
  for (const Family& family : other.families) {
    if (std::find(into.families.begin(), into.families.end(), family) == into.families.end()) {
      into.families.push_back(family);
    }
  }
  if (!into.element.empty() && !merge(into.element[0], other.element[0])) return false;
  return merge_fields(into.fields, other.fields);
}

std::optional<std::int64_t> parse_duration(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count < 0) return std::nullopt;
  const std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& unit : units) {
    if (name != unit.name) continue;
    if (count > no_most / unit.nanoseconds) return std::nullopt;
    return count * unit.nanoseconds;
  }
  return std::nullopt;
}

std::string duration_text(std::int64_t nanoseconds) {
  for (const Unit& unit : units) {
    if (nanoseconds % unit.nanoseconds != 0) continue;
    return std::to_string(nanoseconds / unit.nanoseconds).append(unit.name);
  }
  return "0s";
}

}  // namespace galley::inline v1::io
