using System.CommandLine;
using System.Net;
using LlamaServe.Server.Hosting;

namespace LlamaServe.Server.Commands;

/// <summary>Serves a model until a signal comes: the command that runs when none is named.</summary>
internal sealed class ServeCommand
{
    private readonly ModelOptions _model = new();

    private readonly Option<string> _modelName = new("--model-name") { Description = "What requests call the model [default: its folder's or file's name]" };

    private readonly Option<IPAddress> _address = new("--address", "-a")
    {
        Description = "IP address to listen on; 0.0.0.0 or :: for all",
        DefaultValueFactory = _ => IPAddress.Loopback,
        CustomParser = result =>
        {
            string text = result.Tokens.Single().Value;
            if (text == "localhost" || IPAddress.TryParse(text, out _))
            {
                return text == "localhost" ? IPAddress.Loopback : IPAddress.Parse(text);
            }
            result.AddError($"'{text}' is no IP address");
            return null;
        },
    };

    private readonly Option<int> _port = Port("--port", "-p", "Port of gRPC over cleartext HTTP/2; 0 for a free one", 50051);

    private readonly Option<int> _metricsPort = Port("--metrics-port", "-P", "Port of /metrics, /healthz and /readyz over HTTP/1.1; 0 for a free one", 50052);

    private readonly Option<bool> _noMetrics = new("--no-metrics") { Description = "No HTTP/1.1 port" };

    private readonly Option<double> _drainGrace = Seconds("--drain-grace", "Seconds that requests are still taken after a signal, with health NOT_SERVING", 0);

    private readonly Option<double> _drainTimeout = Seconds("--drain-timeout", "Seconds that running requests have to finish after that", 30);

    private readonly Option<LogLevel> _logLevel = new("--log-level") { Description = "What is logged", DefaultValueFactory = _ => LogLevel.Information };

    public void AddTo(Command command)
    {
        _model.AddTo(command);
        Option[] all = [_modelName, _address, _port, _metricsPort, _noMetrics, _drainGrace, _drainTimeout, _logLevel];
        foreach (Option option in all)
        {
            command.Options.Add(option);
        }
        command.SetAction((line, cancellationToken) => Run(Bind(line), cancellationToken));
    }

    private ServerOptions Bind(ParseResult line) => _model.Bind(line) with
    {
        ModelName = line.GetValue(_modelName),
        Address = line.GetValue(_address)!,
        Port = line.GetValue(_port),
        MetricsPort = line.GetValue(_noMetrics) ? null : line.GetValue(_metricsPort),
        DrainGrace = TimeSpan.FromSeconds(line.GetValue(_drainGrace)),
        DrainTimeout = TimeSpan.FromSeconds(line.GetValue(_drainTimeout)),
        LogLevel = line.GetValue(_logLevel),
    };

    private static async Task<int> Run(ServerOptions options, CancellationToken cancellationToken)
    {
        await using WebApplication app = ServerApplication.Build(options, ModelStarter.Start);
        await ServerLaunch.Open(app, cancellationToken);
        if (await ServerLaunch.Loaded(app) is { } model)
        {
            ReadyMessage.Write(Console.Out, model, ServerApplication.Addresses(app));
        }
        await app.WaitForShutdownAsync(cancellationToken);
        return app.Services.GetRequiredService<EngineHost>().HasFailed ? ExitCode.EngineFailed : ExitCode.Success;
    }

    private static Option<int> Port(string name, string alias, string description, int value)
    {
        Option<int> option = new(name, alias) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 0 or > 65535)
            {
                result.AddError($"{name} must be 0 to 65535");
            }
        });
        return option;
    }

    private static Option<double> Seconds(string name, string description, double value)
    {
        Option<double> option = new(name) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double>() is not (>= 0 and <= 86400))
            {
                result.AddError($"{name} must be 0 to 86400");
            }
        });
        return option;
    }
}
