#include <galley/load/report.hpp>

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1::load {

namespace {

std::string json(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted += '"';
}
std::string json(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "null";
}
std::string json(std::size_t count) {
  return fmt::format("{}", count);
}
std::string json(Duration duration) {
  return fmt::format("{}", duration.count());
}
std::string json(const std::optional<Duration>& duration) {
  return duration ? json(*duration) : "null";
}

/// An object, member by member.
class Object {
 public:
  template <class T>
  Object& add(std::string_view key, const T& value) {
    return add_json(key, json(value));
  }
  Object& add_json(std::string_view key, std::string_view value) {
    fmt::format_to(std::back_inserter(text_), "{}{}: {}", text_.empty() ? "" : ", ", json(key),
                   value);
    return *this;
  }
  std::string text() const { return '{' + text_ + '}'; }

 private:
  std::string text_;
};

std::string json(const Summary& summary) {
  return Object()
      .add("samples", summary.samples)
      .add("mean", summary.mean)
      .add("p50", summary.p50)
      .add("p90", summary.p90)
      .add("p99", summary.p99)
      .add("p999", summary.p999)
      .add("max", summary.max)
      .text();
}

std::string statuses(const Run& run) {
  Object object;
  for (std::size_t i = 0; i < Run::statuses; ++i) {
    if (run.by_status[i] > 0) object.add(to_string(static_cast<Status>(i)), run.by_status[i]);
  }
  return object.text();
}

Object object_of(const Run& run) {
  const bool open = run.loop == Run::Loop::open;
  Object object;
  object.add("loop", std::string_view(open ? "open" : "closed"));
  if (open) object.add("offered", run.offered);
  if (!open) object.add("clients", run.clients);
  object.add("requests", run.requests)
      .add("warm_up", run.warm_up)
      .add("window", run.window)
      .add("throughput", run.throughput())
      .add("goodput", run.goodput())
      .add_json("status", statuses(run))
      .add("in_time", run.in_time)
      .add("wrong", run.wrong)
      .add_json("latency", json(run.latency));
  if (open) {
    object.add_json("lag", json(run.lag))
        .add("lag_p99", run.lag_p99)
        .add("sending", run.sending)
        .add("generator_cpu", run.generator_cpu)
        .add("generator_share", run.generator_share());
  }
  object.add_json("computed_by_sender", run.computed_by_sender ? "true" : "false");
  object.add("verdict", to_string(run.verdict)).add_json("why", json(std::string_view(run.why())));
  return object;
}

/// A list of what `text_of` makes of each run, each on a line of its own.
template <class TextOf>
std::string list(const std::vector<Run>& runs, TextOf text_of) {
  std::string text;
  for (const Run& run : runs) {
    text.append(text.empty() ? "\n    " : ",\n    ").append(text_of(run));
  }
  return "[" + text + "\n  ]";
}

std::string json(const Machine& machine) {
  return Object()
      .add("cpu", std::string_view(machine.cpu))
      .add("cores", std::size_t{machine.cores})
      .add("compiler", std::string_view(machine.compiler))
      .add_json("load", machine.load < 0 ? "null" : json(machine.load))
      .text();
}

}  // namespace

std::string to_json(const Sweep& sweep) {
  const auto closed = [](const Run& run) { return object_of(run).text(); };
  const auto open = [&](const Run& run) {
    return object_of(run).add("share", sweep.share(run)).text();
  };
  std::string text = "{\n";
  const auto member = [&text](std::string_view key, std::string_view value) {
    fmt::format_to(std::back_inserter(text), "  {}: {},\n", json(key), value);
  };
  const bool endless = sweep.deadline == Duration::zero();
  member("load", json(std::string_view(sweep.name)));
  member("machine", json(sweep.machine));
  member("arrivals", json(to_string(sweep.arrivals)));
  member("seed", json(std::size_t{sweep.seed}));
  member("deadline", endless ? "null" : json(sweep.deadline));
  member("wrong", json(sweep.wrong()));
  member("capacity", json(sweep.capacity.rate));
  member("capacity_clients", json(sweep.capacity.clients));
  member("capacity_again", json(sweep.again.goodput()));
  member("capacity_runs", list(sweep.capacity.runs, closed));
  member("again", object_of(sweep.again).text());
  return text + "  \"points\": " + list(sweep.points, open) + "\n}\n";
}

}  // namespace galley::inline v1::load
