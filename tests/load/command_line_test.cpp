#include <galley/core/result.hpp>
#include <galley/load/command_line.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Result;
using galley::load::Arrivals;
using galley::load::Clients;
using galley::load::Command;
using galley::load::parse;
using namespace std::chrono_literals;

using Arguments = std::vector<std::string>;

TEST_CASE("without arguments a sweep is the usual one", "[command_line]") {
  const Result<Command> command = parse(Arguments{});
  REQUIRE(command.has_value());
  CHECK(command->sweep.fractions.empty());
  CHECK(command->sweep.rates.empty());
  CHECK(command->sweep.arrivals == Arrivals::poisson);
  CHECK(command->json == "load.json");
  CHECK(command->rest.empty());
}

TEST_CASE("every option is read", "[command_line]") {
  const Result<Command> command =
      parse(Arguments{"--rate",    "100",       "--rate",     "2.5e2",  "--fractions",   "0.5,1",
                      "--seconds", "2.5",       "--warm-up",  "0",      "--requests",    "7",
                      "--seed",    "9",         "--arrivals", "bursty", "--deadline-ms", "1.5",
                      "--clients", "2,8",       "--calls",    "serve",  "--json",        "",
                      "--html",    "page.html", "--give-up",  "2"});
  REQUIRE(command.has_value());
  CHECK(command->sweep.rates == std::vector<double>{100, 250});
  CHECK(command->sweep.fractions == std::vector<double>{0.5, 1});
  CHECK(command->sweep.length == 2500ms);
  CHECK(command->sweep.warm_up == 0s);
  CHECK(command->sweep.requests == 7);
  CHECK(command->sweep.seed == 9);
  CHECK(command->sweep.arrivals == Arrivals::bursty);
  CHECK(command->deadline == 1500us);
  CHECK(command->give_up == 2s);
  CHECK(command->sweep.capacity.clients == std::vector<std::size_t>{2, 8});
  CHECK(command->sweep.capacity.kind == Clients::serving);
  CHECK(command->json.empty());
  CHECK(command->html == "page.html");
}

TEST_CASE("what it does not know is the program's own", "[command_line]") {
  const Result<Command> command = parse(Arguments{"--graph", "g.json", "--rate", "5", "more"});
  REQUIRE(command.has_value());
  CHECK(command->rest == Arguments{"--graph", "g.json", "more"});
  CHECK(command->sweep.rates == std::vector<double>{5});

  char program[] = "load", option[] = "--seed", value[] = "3";
  char* argv[] = {program, option, value, nullptr};
  CHECK(parse(3, argv)->sweep.seed == 3);
  CHECK(parse(0, argv)->rest.empty());
  CHECK(parse(3, argv, {.json = "mine.json"})->json == "mine.json");
}

TEST_CASE("a value that is none is refused by name", "[command_line]") {
  CHECK(parse(Arguments{"--rate", "fast"}).error().detail == "--rate: cannot take \"fast\"");
  CHECK(parse(Arguments{"--rate"}).error().detail == "--rate: cannot take \"\"");
  for (const Arguments& wrong :
       {Arguments{"--rate", "0"}, Arguments{"--rate", "nan"}, Arguments{"--rate", "-1"},
        Arguments{"--rate", "1x"}, Arguments{"--fractions", "0.5,"}, Arguments{"--seconds", "-1"},
        Arguments{"--seconds", "inf"}, Arguments{"--arrivals", "sometimes"},
        Arguments{"--seed", "-3"}, Arguments{"--requests", "1.5"}, Arguments{"--clients", ""},
        Arguments{"--calls", "shout"}}) {
    CAPTURE(wrong[0], wrong[1]);
    CHECK(parse(wrong).status() == galley::Status::invalid_argument);
  }
}
