// A host's file that puts load on a servable of its own.
#include <galley/compose/map.hpp>
#include <galley/load/report.hpp>
#include <galley/load/sweep.hpp>

#include <chrono>
#include <cstddef>
#include <string>

int use_load();

int use_load() {
  using namespace std::chrono_literals;
  const auto next = galley::map([](const int& n) { return n + 1; });
  galley::load::SweepOptions options{.rates = {2000}, .length = 50ms, .warm_up = 5ms};
  options.capacity = {.clients = {1}, .length = 20ms, .warm_up = 5ms};
  const galley::Result<galley::load::Sweep> found = galley::load::sweep(
      next,
      {.row = [](std::size_t i) { return static_cast<int>(i); },
       .check = [](std::size_t i, const int& got) { return got == static_cast<int>(i) + 1; }},
      options);
  if (!found || found->exit_status() != 0) return 5;
  return to_html(*found).find("</svg>") == std::string::npos ? 6 : 0;
}
