#include <galley/core/status.hpp>
#include <galley/core/time.hpp>
#include <galley/load/report.hpp>
#include <galley/load/run.hpp>
#include <galley/load/sweep.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <support/catch.hpp>

using galley::Duration;
using galley::Status;
using galley::load::Run;
using galley::load::Sweep;
using galley::load::Verdict;
using namespace std::chrono_literals;

namespace {

Run open(double offered, Duration p50, std::optional<Duration> p99) {
  Run run{.offered = offered, .requests = 2000, .warm_up = 10, .window = 2s};
  run.by_status[0] = run.in_time = 2000;
  run.latency = {
      .samples = 2000, .mean = p50, .p50 = p50, .p90 = p50 * 2, .p99 = p99, .max = p50 * 3};
  run.lag = {.samples = 2000, .p50 = 1us, .p90 = 2us, .p99 = 3us, .max = 4us};
  run.lag_p99 = 3us;
  run.sending = 2s;
  run.generator_cpu = 500ms;
  run.verdict = judge(run);
  return run;
}

Run closed(std::size_t clients) {
  Run run = open(0, 1ms, 2ms);
  run.loop = Run::Loop::closed;
  run.clients = clients;
  return run;
}

Sweep sample() {
  Sweep sweep{.name = "digits & <\"co\">",
              .machine = {.cpu = "a \\ cpu", .cores = 2, .compiler = "cc", .load = 0.1},
              .seed = 7,
              .deadline = 10ms,
              .capacity = {.rate = 1000, .clients = 4, .runs = {closed(1), closed(4)}},
              .again = closed(4),
              .points = {open(500, 1ms, 2ms), open(900, 20us, std::nullopt)}};
  Run failing = open(1200, 5ms, 8ms);
  failing.by_status[0] = 1900;
  failing.by_status[static_cast<std::size_t>(Status::resource_exhausted)] = 100;
  failing.in_time = 1800;
  sweep.points.push_back(failing);
  return sweep;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

/// What is wrong with `xml`: elements that do not nest, attributes without quotes, bare marks.
/// Nothing where it is well-formed.
std::string fault(std::string_view xml) {
  std::vector<std::string> open_elements;
  while (!xml.empty()) {
    const std::size_t start = xml.find('<');
    const std::string_view text = xml.substr(0, start);
    if (text.find('>') != text.npos) return "bare > in: " + std::string(text);
    for (std::size_t at = text.find('&'); at != text.npos; at = text.find('&', at + 1)) {
      const std::size_t end = text.find(';', at);
      if (end == text.npos || end - at > 6) return "bare & in: " + std::string(text);
    }
    if (start == xml.npos) break;
    const std::size_t end = xml.find('>', start);
    if (end == xml.npos) return "a tag without end";
    std::string_view tag = xml.substr(start + 1, end - start - 1);
    xml.remove_prefix(end + 1);
    if (tag.starts_with('!')) continue;
    std::size_t quotes = 0;
    for (const char c : tag) quotes += c == '"' ? 1 : 0;
    if (quotes % 2 != 0 || tag.find('<') != tag.npos) return "a bad tag: " + std::string(tag);
    const std::string name(tag.substr(0, tag.find_first_of(" \n/", 1)));
    if (tag.starts_with('/')) {
      if (open_elements.empty() || '/' + open_elements.back() != tag) {
        return "closes nothing: " + std::string(tag);
      }
      open_elements.pop_back();
    } else if (!tag.ends_with('/')) {
      open_elements.push_back(name);
    }
  }
  return open_elements.empty() ? "" : "never closed: " + open_elements.back();
}

}  // namespace

TEST_CASE("the table says what was measured, and marks what may not be believed", "[report]") {
  const std::string table = to_table(sample());
  CHECK(contains(table, "capacity 1000/s, of 4 clients in a closed loop; 1000/s again at the end"));
  CHECK(contains(table,
                 "latency from the intended time; poisson arrivals, seed 7, deadline 10.0 ms"));
  CHECK(contains(table, "closed 4"));
  CHECK(contains(table, "50%"));
  CHECK(contains(table, "25%  valid\n"));
  CHECK(contains(table, "25%  VOID: generator lag\n"));
  CHECK(contains(table, "120%: 100 answered resource_exhausted\n"));
  CHECK(contains(table,
                 "1 of 3 rates are VOID: the p99 of the generator's lag is above 5 % of the "
                 "median latency\n"));
  CHECK_FALSE(contains(table, "busy"));
  Sweep busy = sample();
  busy.machine.load = 0.31;
  CHECK(contains(to_table(busy), "The machine is busy"));
}

TEST_CASE("a percentile of too few samples is not printed", "[report]") {
  Sweep sweep{.name = "few", .points = {open(500, 1ms, std::nullopt)}};
  CHECK(contains(to_table(sweep), "1.00 ms  2.00 ms        -        -  3.00 ms"));
  CHECK(contains(to_json(sweep), R"("p90": 2000000,)"));
  CHECK(contains(to_json(sweep), R"("p99": null,)"));
}

TEST_CASE("the picture and the page are well-formed", "[report]") {
  CHECK(fault("<a b=\"c\"><d/>&lt;</a>").empty());
  CHECK_FALSE(fault("<a><b></a></b>").empty());
  CHECK_FALSE(fault("<a>&</a>").empty());
  CHECK_FALSE(fault("<a>").empty());

  for (const Sweep& sweep : {sample(), Sweep{.name = "nothing"}, Sweep{.points = {Run()}}}) {
    CHECK(fault(to_svg(sweep)) == "");
    CHECK(fault(to_html(sweep)) == "");
    CHECK_FALSE(contains(to_svg(sweep), "nan"));
    CHECK_FALSE(contains(to_svg(sweep), "inf"));
  }
}

TEST_CASE("the picture has a point for each latency that is known", "[report]") {
  const std::string svg = to_svg(sample());
  CHECK(contains(svg, "digits &amp; &lt;&quot;co&quot;&gt;"));
  CHECK(contains(svg, "p50 of 500/s offered: 1.00 ms (valid)"));
  CHECK(contains(svg, "p99 of 500/s offered: 2.00 ms (valid)"));
  CHECK(contains(svg,
                 "fill=\"white\" stroke=\"#1f77b4\"><title>p50 of 900/s offered: 20.0 us (VOID: "
                 "generator lag)"));
  CHECK_FALSE(contains(svg, "p99 of 900/s"));
  CHECK(contains(svg, "capacity 1000/s"));
  CHECK(contains(svg, ">10 us<"));
  CHECK(contains(svg, ">10 ms<"));
}
