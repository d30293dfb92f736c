#include <galley/load/report.hpp>
#include <src/text.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1::load {

namespace {

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        // XML has no place for other control characters.
        safe += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  }
  return safe;
}

/// 1, 2 or 5 times a power of ten: the distance of at most about `lines` lines up to `most`.
double step_for(double most, int lines) {
  const double least = most / lines;
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

struct Line {
  std::string_view name;
  std::string_view colour;
  std::optional<Duration> Summary::*percentile;
};
constexpr Line lines[] = {{"p50", "#1f77b4", &Summary::p50}, {"p99", "#d62728", &Summary::p99}};

/// The picture: throughput to the right, the logarithm of latency upwards.
class Plot {
 public:
  explicit Plot(const Sweep& sweep) : sweep_(sweep) {
    double most = sweep.capacity.rate;
    double least_seconds = 1;
    double most_seconds = 0;
    for (const Run& run : sweep.points) {
      most = std::max(most, run.throughput());
      for (const Line& line : lines) {
        if (const auto& latency = run.latency.*line.percentile) {
          least_seconds = std::min(least_seconds, seconds(*latency));
          most_seconds = std::max(most_seconds, seconds(*latency));
        }
      }
    }
    most_ = most > 0 ? most * 1.05 : 1;
    low_ = std::floor(std::log10(least_seconds));
    high_ = std::max(std::ceil(std::log10(std::max(most_seconds, 1e-9))), low_ + 1);
  }

  std::string svg() && {
    write(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" "
        "height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n",
        width, height, width, height);
    write("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
    write(
        "<text x=\"{}\" y=\"20\" font-size=\"14\">{}: latency from the intended time, {} arrivals"
        "</text>\n",
        left, escaped(sweep_.name), to_string(sweep_.arrivals));
    write_axes();
    write_capacity();
    double legend = left + 12;
    for (const Line& line : lines) {
      write_line(line);
      write("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>", legend, top + 14.0,
            line.colour);
      write("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", legend + 8, top + 18.0, line.name);
      legend += 52;
    }
    write("<text x=\"{:.1f}\" y=\"{:.1f}\">hollow: not a valid run</text>\n", legend, top + 18.0);
    return std::move(svg_) + "</svg>\n";
  }

 private:
  static constexpr int width = 760, height = 460;
  static constexpr int left = 80, right = 30, top = 36, bottom = 52;

  template <class... Args>
  void write(std::string_view format, const Args&... args) {
    fmt::format_to(std::back_inserter(svg_), fmt::runtime(format), args...);
  }

  static double seconds(Duration duration) {
    return std::max(1e-9, 1e-9 * static_cast<double>(duration.count()));
  }
  double x(double rate) const { return left + (width - left - right) * rate / most_; }
  double y(double in_seconds) const {
    return height - bottom -
           (height - top - bottom) * (std::log10(in_seconds) - low_) / (high_ - low_);
  }

  void write_axes() {
    constexpr std::string_view grid =
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>";
    const double step = step_for(most_, 8);
    for (int i = 0; i * step <= most_; ++i) {
      const double at = x(i * step);
      write(grid, at, double{top}, at, double{height - bottom});
      write("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", at,
            height - bottom + 18, i == 0 ? "0" : brief(i * step));
    }
    for (double power = low_; power <= high_; ++power) {
      const double at = y(std::pow(10.0, power));
      write(grid, double{left}, at, double{width - right}, at);
      const Duration tick(std::llround(std::pow(10.0, power + 9)));
      write("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 8, at + 4,
            tick_text(tick));
    }
    write("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">answers per second</text>\n",
          (left + width - right) / 2, height - 12);
  }

  static std::string tick_text(Duration tick) {
    const auto count = tick.count();
    if (count < 1'000) return fmt::format("{} ns", count);
    if (count < 1'000'000) return fmt::format("{} us", count / 1'000);
    if (count < 1'000'000'000) return fmt::format("{} ms", count / 1'000'000);
    return fmt::format("{} s", count / 1'000'000'000);
  }

  void write_capacity() {
    if (sweep_.capacity.rate <= 0) return;
    const double at = x(sweep_.capacity.rate);
    write(
        "<line x1=\"{:.1f}\" y1=\"{}\" x2=\"{:.1f}\" y2=\"{}\" stroke=\"#555\" "
        "stroke-dasharray=\"6 4\"/>",
        at, top, at, height - bottom);
    write("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">capacity {}/s</text>\n",
          at - 6, height - bottom - 8, brief(sweep_.capacity.rate));
  }

  void write_line(const Line& line) {
    std::string path;
    std::string marks;
    for (const Run& run : sweep_.points) {
      const std::optional<Duration>& latency = run.latency.*line.percentile;
      if (!latency) continue;
      const double at_x = x(run.throughput());
      const double at_y = y(seconds(*latency));
      path += fmt::format("{:.1f},{:.1f} ", at_x, at_y);
      marks += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\"><title>"
          "{} of {}/s offered: {} ({})</title></circle>\n",
          at_x, at_y, run.verdict == Verdict::valid ? line.colour : "white", line.colour, line.name,
          brief(run.offered), brief(*latency), label(run.verdict));
    }
    write("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n", path,
          line.colour);
    svg_ += marks;
  }

  const Sweep& sweep_;
  double most_ = 1;  // answers per second
  double low_ = -6;  // powers of ten of a second
  double high_ = 0;
  std::string svg_;
};

}  // namespace

std::string to_svg(const Sweep& sweep) {
  return Plot(sweep).svg();
}

std::string to_html(const Sweep& sweep) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"/><title>" +
         escaped(sweep.name) + "</title></head>\n<body>\n" + to_svg(sweep) + "<pre>" +
         escaped(to_table(sweep)) + "</pre>\n</body>\n</html>\n";
}

}  // namespace galley::inline v1::load
