using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace LlamaServe.Bench.Tests.Load;

/// <summary>
/// Speaks OpenAI's HTTP interface and waits, before the first token and before each further one, at least as long as it was told. Has
/// the habits of other servers where a property says so.
/// </summary>
internal sealed class SlowServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private SlowServer(WebApplication app) => _app = app;

    public Uri Endpoint { get; private set; } = null!;

    public Uri ChatEndpoint => new(Endpoint, "chat/completions");

    /// <summary>The bodies that came.</summary>
    public List<JsonNode> Requests { get; } = [];

    /// <summary>The key that has to come; null: none.</summary>
    public string? Key { get; init; }

    /// <summary>What /v1/models lists; null: nothing is there.</summary>
    public string? Model { get; init; }

    public bool TellsUsage { get; init; } = true;

    /// <summary>An event with a role and no text comes at once.</summary>
    public bool BeginsWithRole { get; init; }

    /// <summary>The stream ends after its tokens, without usage and end.</summary>
    public bool BreaksOff { get; init; }

    /// <summary>An event in place of the first token says so.</summary>
    public string? Error { get; init; }

    /// <summary>Tokens of every answer; null: as many as are asked for.</summary>
    public int? Length { get; init; }

    /// <summary>What usage says of the prompt.</summary>
    public (int Tokens, int Cached)? Prompt { get; init; }

    private TimeSpan First { get; init; }

    private TimeSpan Further { get; init; }

    private int FailEvery { get; init; }

    public static Task<SlowServer> StartAsync(TimeSpan first, TimeSpan further, int failEvery = int.MaxValue) =>
        StartAsync(app => new SlowServer(app) { First = first, Further = further, FailEvery = failEvery });

    /// <summary>One that does not wait, with habits as the properties of the same names tell.</summary>
    public static Task<SlowServer> StartAsync(
        string? key = null, string? model = null, bool tellsUsage = true, bool breaksOff = false, string? error = null, int? length = null,
        (int Tokens, int Cached)? prompt = null) => StartAsync(app => new SlowServer(app)
        {
            Key = key,
            Model = model,
            TellsUsage = tellsUsage,
            BreaksOff = breaksOff,
            Error = error,
            Length = length,
            Prompt = prompt,
            FailEvery = int.MaxValue,
        });

    /// <summary>One that tells the role at once and begins with the text later.</summary>
    public static Task<SlowServer> StartWithRoleAsync(TimeSpan first) =>
        StartAsync(app => new SlowServer(app) { First = first, FailEvery = int.MaxValue, BeginsWithRole = true });

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private static async Task<SlowServer> StartAsync(Func<WebApplication, SlowServer> make)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        SlowServer server = make(builder.Build());
        server._app.MapGet("/v1/models", server.ListAsync);
        server._app.MapPost("/v1/completions", context => server.AnswerAsync(context, text => new { text }));
        server._app.MapPost("/v1/chat/completions", context => server.AnswerAsync(context, content => new { delta = new { content } }));
        await server._app.StartAsync();
        server.Endpoint = new Uri(server._app.Urls.Single() + "/v1/completions");
        return server;
    }

    private async Task ListAsync(HttpContext context)
    {
        if (!IsAllowed(context) || Model is null)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        await context.Response.WriteAsync(JsonSerializer.Serialize(new { data = new[] { new { id = Model }, new { id = "another" } } }));
    }

    private bool IsAllowed(HttpContext context)
    {
        bool isAllowed = Key is null || context.Request.Headers.Authorization == $"Bearer {Key}";
        context.Response.StatusCode = isAllowed ? StatusCodes.Status200OK : StatusCodes.Status401Unauthorized;
        return isAllowed;
    }

    private async Task AnswerAsync(HttpContext context, Func<string, object> choice)
    {
        JsonNode body = (await JsonNode.ParseAsync(context.Request.Body))!;
        int number;
        lock (Requests)
        {
            Requests.Add(body);
            number = Requests.Count;
        }

        if (!IsAllowed(context) || number % FailEvery == 0)
        {
            context.Response.StatusCode = context.Response.StatusCode == StatusCodes.Status401Unauthorized ? StatusCodes.Status401Unauthorized : StatusCodes.Status503ServiceUnavailable;
            await context.Response.WriteAsync("no room");
            return;
        }

        await StreamAsync(context.Response, Length ?? body["max_tokens"]!.GetValue<int>(), choice);
    }

    private async Task StreamAsync(HttpResponse response, int tokens, Func<string, object> choice)
    {
        if (BeginsWithRole)
        {
            await SendAsync(new { choices = new[] { choice("") } });
        }

        if (Error is not null)
        {
            await SendAsync(new { error = new { message = Error } });
            return;
        }

        for (int i = 0; i < tokens; i++)
        {
            await Task.Delay(i == 0 ? First : Further);
            await SendAsync(new { choices = new[] { choice("x") } });
        }

        if (BreaksOff)
        {
            return;
        }

        if (TellsUsage)
        {
            object? details = Prompt is { } told ? new { cached_tokens = told.Cached } : null;
            await SendAsync(new { choices = Array.Empty<object>(), usage = new { completion_tokens = tokens, prompt_tokens = Prompt?.Tokens, prompt_tokens_details = details } });
        }

        await response.WriteAsync("data: [DONE]\n\n");

        async Task SendAsync(object piece)
        {
            await response.WriteAsync($"data: {JsonSerializer.Serialize(piece)}\n\n");
            await response.Body.FlushAsync();
        }
    }
}
