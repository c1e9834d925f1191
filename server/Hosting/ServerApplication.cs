using System.Runtime;
using Grpc.HealthCheck;
using LlamaServe.Server.Mapping;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace LlamaServe.Server.Hosting;

/// <summary>Puts the server together: ports with their limits, gRPC services, metrics and probes.</summary>
internal static class ServerApplication
{
    // Four bytes an id in the worst case: prompts of a million tokens.
    private const int MaxMessageBytes = 4 << 20;

    // Far above a router's one connection with every stream of a full engine.
    private const int MaxStreamsPerConnection = 4096;

    /// <summary>Builds the application; starting it opens the ports and starts the model.</summary>
    public static WebApplication Build(ServerOptions options, StartModel start)
    {
        // No blocking full collection in the middle of streams, unless memory runs out.
        GCSettings.LatencyMode = GCLatencyMode.SustainedLowLatency;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => Listen(kestrel, options));
        builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("LlamaServe", options.LogLevel)
            // What a command cannot start with, it says itself, in one sentence.
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None)
            // A client that breaks off is no error; what is, FailureInterceptor logs.
            .AddFilter("Grpc", LogLevel.Critical);
        builder.Logging.AddSimpleConsole(console => (console.SingleLine, console.TimestampFormat, console.UseUtcTimestamp) = (true, "HH:mm:ss.fff ", true));
        builder.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        // The drain's own limits end first; what is left is for the connections to close.
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.DrainGrace + options.DrainTimeout + TimeSpan.FromSeconds(10));
        AddServices(builder.Services, options, start);
        WebApplication app = builder.Build();
        if (options.MetricsPort is not null)
        {
            app.MapWhen(context => !HttpProtocol.IsHttp2(context.Request.Protocol), Probes.Map);
        }
        app.UseRouting();
        app.MapGrpcService<GenerationService>();
        app.MapGrpcService<HealthServiceImpl>();
        app.MapGrpcReflectionService();
        return app;
    }

    /// <summary>Where a started application listens: gRPC first, then metrics.</summary>
    public static IReadOnlyList<string> Addresses(WebApplication app) =>
        [.. app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses];

    private static void AddServices(IServiceCollection services, ServerOptions options, StartModel start)
    {
        services.AddRoutingCore();
        services.AddMetrics();
        services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = MaxMessageBytes;
            // Long prompts' log-probabilities; the engine bounds what one request may hold.
            grpc.MaxSendMessageSize = null;
            grpc.EnableDetailedErrors = false;
            grpc.Interceptors.Add<FailureInterceptor>();
        });
        services.AddGrpcReflection();
        services.AddSingleton(options);
        services.AddSingleton(start);
        services.AddSingleton<FailureInterceptor>();
        services.AddSingleton<GenerationService>();
        services.AddSingleton<HealthServiceImpl>();
        services.AddSingleton<EngineHost>();
        services.AddHostedService(provider => provider.GetRequiredService<EngineHost>());
        services.AddHostedService<HealthReporter>();
        if (options.MetricsPort is not null)
        {
            services.AddOpenTelemetry().WithMetrics(metrics => metrics
                .ConfigureResource(resource => resource.AddService("llamaserve"))
                .AddMeter("LlamaServe.Engine", "System.Runtime", "Microsoft.AspNetCore.Server.Kestrel")
                .AddPrometheusExporter());
        }
    }

    private static void Listen(KestrelServerOptions kestrel, ServerOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Listen(options.Address, options.Port, endpoint => endpoint.Protocols = HttpProtocols.Http2);
        if (options.MetricsPort is { } metricsPort)
        {
            kestrel.Listen(options.Address, metricsPort, endpoint => endpoint.Protocols = HttpProtocols.Http1);
        }
        KestrelServerLimits limits = kestrel.Limits;
        limits.MaxRequestBodySize = 2 * MaxMessageBytes;
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        // A stream that is not read ends by itself (see ResponseWriter); its connection may carry others.
        limits.MinResponseDataRate = null;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        limits.MaxRequestHeaderCount = 64;
        limits.MaxRequestHeadersTotalSize = 16 << 10;
        limits.KeepAliveTimeout = TimeSpan.FromMinutes(10);
        limits.Http2.MaxStreamsPerConnection = MaxStreamsPerConnection;
        // A peer that has gone without a word is found out, and its requests' memory freed.
        limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(20);
        limits.Http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(10);
    }
}
