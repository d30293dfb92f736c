#include <galley/load/command_line.hpp>
#include <galley/load/report.hpp>

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

namespace galley::inline v1::load {

const std::string_view usage =
    "  --rate R            send R requests a second; may be given several times\n"
    "  --fractions F,F...  send at these shares of the capacity\n"
    "  --seconds S         how long each rate runs\n"
    "  --warm-up S         how much of that is not counted\n"
    "  --requests N        the most requests of each rate\n"
    "  --arrivals A        poisson, constant or bursty\n"
    "  --seed N            of the schedules\n"
    "  --deadline-ms M     an answer is good within M milliseconds\n"
    "  --give-up S         end a run when no answer has come for S seconds\n"
    "  --clients N,N...    how many clients the capacity is sought with\n"
    "  --calls C           submit or serve: how those clients call\n"
    "  --json PATH, --html PATH\n";

namespace {

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A number above zero, and small enough to be a time or a rate.
bool set_positive(double& to, std::string_view text) {
  const std::optional<double> value = number<double>(text);
  if (!value || !(*value > 0) || *value > 1e9) return false;
  to = *value;
  return true;
}

bool set_time(Duration& to, std::string_view text, double unit) {
  const std::optional<double> value = number<double>(text);
  if (!value || !(*value >= 0) || *value > 1e8) return false;
  to = Duration(std::llround(*value * unit));
  return true;
}

template <class Number>
bool set_count(Number& to, std::string_view text) {
  const std::optional<Number> value = number<Number>(text);
  if (value) to = *value;
  return value.has_value();
}

/// Each of the items between commas, by `set`.
template <class T, class Set>
bool set_list(std::vector<T>& to, std::string_view text, Set set) {
  to.clear();
  for (;;) {
    const std::size_t comma = text.find(',');
    if (!set(to.emplace_back(), text.substr(0, comma))) return false;
    if (comma == text.npos) return true;
    text.remove_prefix(comma + 1);
  }
}

bool set_arrivals(Arrivals& to, std::string_view text) {
  for (const Arrivals arrivals : {Arrivals::poisson, Arrivals::constant, Arrivals::bursty}) {
    if (text != to_string(arrivals)) continue;
    to = arrivals;
    return true;
  }
  return false;
}

bool set_clients(Clients& to, std::string_view text) {
  to = text == "serve" ? Clients::serving : Clients::submitting;
  return text == "serve" || text == "submit";
}

struct Option {
  std::string_view name;
  bool (*set)(Command& command, std::string_view value);
};

constexpr double second = 1e9;
constexpr double millisecond = 1e6;

constexpr Option known[] = {
    {"--rate",
     [](Command& c, std::string_view v) { return set_positive(c.sweep.rates.emplace_back(), v); }},
    {"--fractions",
     [](Command& c, std::string_view v) { return set_list(c.sweep.fractions, v, set_positive); }},
    {"--seconds",
     [](Command& c, std::string_view v) { return set_time(c.sweep.length, v, second); }},
    {"--warm-up",
     [](Command& c, std::string_view v) { return set_time(c.sweep.warm_up, v, second); }},
    {"--requests", [](Command& c, std::string_view v) { return set_count(c.sweep.requests, v); }},
    {"--arrivals",
     [](Command& c, std::string_view v) { return set_arrivals(c.sweep.arrivals, v); }},
    {"--seed", [](Command& c, std::string_view v) { return set_count(c.sweep.seed, v); }},
    {"--deadline-ms",
     [](Command& c, std::string_view v) { return set_time(c.deadline, v, millisecond); }},
    {"--give-up", [](Command& c, std::string_view v) { return set_time(c.give_up, v, second); }},
    {"--clients",
     [](Command& c, std::string_view v) {
       return set_list(c.sweep.capacity.clients, v, set_count<std::size_t>);
     }},
    {"--calls",
     [](Command& c, std::string_view v) { return set_clients(c.sweep.capacity.kind, v); }},
    {"--json", [](Command& c, std::string_view v) { return (c.json = v, true); }},
    {"--html", [](Command& c, std::string_view v) { return (c.html = v, true); }},
};

Result<void> write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return {};
  const std::filesystem::path file(path);
  std::error_code ignored;  // writing will tell
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), ignored);
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out) return Error(Status::unavailable, "cannot write " + path);
  return {};
}

}  // namespace

Result<Command> parse(std::span<const std::string> arguments, Command defaults) {
  Command command = std::move(defaults);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    const Option* option = nullptr;
    for (const Option& each : known) {
      if (each.name == name) option = &each;
    }
    if (option == nullptr) {
      command.rest.push_back(name);
      continue;
    }
    const std::string value = i + 1 < arguments.size() ? arguments[++i] : "";
    if (!option->set(command, value)) {
      return Error(Status::invalid_argument, fmt::format("{}: cannot take \"{}\"", name, value));
    }
  }
  return command;
}

Result<Command> parse(int argc, char** argv, Command defaults) {
  return parse(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
               std::move(defaults));
}

Result<void> publish(const Sweep& sweep, const Command& command) {
  std::fputs(to_table(sweep).c_str(), stdout);
  GALLEY_TRY(write_file(command.json, to_json(sweep)));
  GALLEY_TRY(write_file(command.html, to_html(sweep)));
  return {};
}

namespace detail {

int report(const Result<Sweep>& sweep, const Command& command) {
  Result<void> published = sweep.has_value() ? publish(*sweep, command) : sweep.error();
  if (!published) std::fprintf(stderr, "%s\n", to_string(published.error()).c_str());
  return published ? sweep->exit_status() : 1;
}

}  // namespace detail

}  // namespace galley::inline v1::load
