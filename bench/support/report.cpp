#include <support/report.hpp>

#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

namespace bench {

namespace {

/// `text` as a JSON string, quotes included.
std::string in_quotes(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      json += escape;
    } else {
      json += c;
    }
  }
  return json += '"';
}

/// A JSON number of six digits; null where there is none.
std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// `value` for people: no more digits than mean something.
std::string brief(double value) {
  char text[32];
  const double size = std::fabs(value);
  const int digits = size >= 1000 || size == std::floor(size) ? 0 : size >= 10 ? 1 : 3;
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

double load() {
  double one_minute[1] = {-1};
  return getloadavg(one_minute, 1) == 1 ? one_minute[0] : -1;
}

constexpr std::string_view compiler =
#if defined(__clang__)
    "clang " __clang_version__;
#elif defined(__GNUC__)
    "g++ " __VERSION__;
#else
    "unknown";
#endif

/// Makes the directories that `path` names before its last '/'.
void make_parents(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != path.npos; at = path.find('/', at + 1)) {
    ::mkdir(path.substr(0, at).c_str(), 0777);  // it may be there; writing the file will tell
  }
}

}  // namespace

std::string Goal::text() const {
  if (kind == Kind::none) return {};
  return (kind == Kind::at_most ? "<= " : ">= ") + number(bound);
}

Report::Report(std::string name, int argc, char** argv)
    : name_(std::move(name)),
      path_(argc > 1 ? std::string(argv[1]) : "build/bench/" + name_ + ".json") {
  std::printf("%s on %s, %u cores, LibTorch %s, %.*s, load %s\n\n", name_.c_str(),
              cpu_model().c_str(), std::thread::hardware_concurrency(), GALLEY_BENCH_LIBTORCH,
              static_cast<int>(compiler.size()), compiler.data(), brief(load()).c_str());
  if (load() > 0.5) say("The machine is busy; spreads will be wide.\n");
#if !defined(NDEBUG)
  say("This is not an optimised build; its times mean little.\n");
#endif
  std::printf("%-4s %10s %-5s %-21s %5s  %-9s %-6s %s\n", "id", "median", "", "p25 .. p75", "pairs",
              "goal", "", "metric: case");
}

void Report::add(const Line& line, const Spread& value) {
  const bool met = line.goal.met_by(value.median);
  entries_.push_back({line, value, met});
  const std::string spread = value.pairs > 1 ? brief(value.p25) + " .. " + brief(value.p75) : "";
  std::printf("%-4s %10s %-5s %-21s %5zu  %-9s %-6s %s: %s\n", line.id.c_str(),
              brief(value.median).c_str(), line.unit.c_str(), spread.c_str(), value.pairs,
              line.goal.text().c_str(),
              line.goal.kind == Goal::Kind::none ? "" : (met ? "met" : "MISSED"),
              line.metric.c_str(), line.name.c_str());
  std::fflush(stdout);
}

void Report::say(std::string_view text) const {
  std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
}

void Report::check(bool right, std::string_view what) {
  if (right) return;
  ++wrong_;
  std::printf("WRONG: %.*s\n", static_cast<int>(what.size()), what.data());
}

std::string Report::json() const {
  std::string json = "{\n  \"bench\": " + in_quotes(name_) + ",\n  \"machine\": {\"cpu\": ";
  json += in_quotes(cpu_model()) + ", \"cores\": ";
  json += std::to_string(std::thread::hardware_concurrency()) + ", \"libtorch\": ";
  json += in_quotes(GALLEY_BENCH_LIBTORCH);
  json += ", \"compiler\": " + in_quotes(compiler) + ", \"load\": ";
  json += number(load()) + "},\n  \"results\": [";
  const char* between = "\n    ";
  for (const Entry& entry : entries_) {
    json += between;
    between = ",\n    ";
    json += "{\"id\": " + in_quotes(entry.line.id) + ", \"case\": " + in_quotes(entry.line.name);
    json += ", \"metric\": " + in_quotes(entry.line.metric);
    json += ", \"value\": " + number(entry.value.median);
    json += ", \"unit\": " + in_quotes(entry.line.unit);
    json += ", \"goal\": " + in_quotes(entry.line.goal.text());
    json += std::string(", \"met\": ") + (entry.met ? "true" : "false");
    json += ", \"pairs\": " + std::to_string(entry.value.pairs);
    json += ", \"p25\": " + number(entry.value.p25) + ", \"p75\": " + number(entry.value.p75) + "}";
  }
  return json + "\n  ]\n}\n";
}

int Report::finish() const {
  std::size_t missed = 0;
  for (const Entry& entry : entries_) missed += entry.met ? 0 : 1;
  make_parents(path_);
  std::ofstream file(path_);
  file << json();
  file.close();
  std::printf("\n%zu lines, %zu goals missed, %zu wrong answers; %s %s\n", entries_.size(), missed,
              wrong_, file ? "written to" : "CANNOT WRITE", path_.c_str());
  return wrong_ == 0 && file ? 0 : 1;
}

}  // namespace bench
