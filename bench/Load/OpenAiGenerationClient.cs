using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Bench.Load;

/// <summary>
/// Asks through OpenAI's HTTP interface, streaming: <c>/v1/completions</c> with token ids or text, or <c>/v1/chat/completions</c> with text.
/// </summary>
internal sealed class OpenAiGenerationClient : IGenerationClient
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { PooledConnectionLifetime = Timeout.InfiniteTimeSpan })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    private readonly Uri _endpoint;
    private readonly string _model;
    private readonly Tokenizer? _tokenizer;
    private readonly bool _sendsText;
    private readonly bool _isChat;

    /// <param name="endpoint">The whole address, e.g. http://127.0.0.1:8000/v1/completions.</param>
    /// <param name="model">Name to ask for.</param>
    /// <param name="tokenizer">Makes text of ids, and counts answers that their server does not count; null where neither is needed.</param>
    /// <param name="asText">Whether completions are asked for with text; chats always are.</param>
    /// <param name="headers">To send along, such as the key.</param>
    public OpenAiGenerationClient(
        Uri endpoint, string model, Tokenizer? tokenizer, bool asText = false, IReadOnlyList<KeyValuePair<string, string>>? headers = null)
    {
        (_endpoint, _model, _tokenizer) = (endpoint, model, tokenizer);
        _isChat = IsChat(endpoint);
        _sendsText = asText || _isChat;
        foreach ((string name, string value) in headers ?? [])
        {
            _http.DefaultRequestHeaders.TryAddWithoutValidation(name, value);
        }
    }

    public static bool IsChat(Uri endpoint) => endpoint.AbsolutePath.EndsWith("/chat/completions", StringComparison.Ordinal);

    /// <summary>The first model that the server lists at <c>/v1/models</c>.</summary>
    /// <exception cref="InvalidOperationException">It lists none, or does not answer.</exception>
    public static async Task<string> FindModelAsync(
        Uri endpoint, IReadOnlyList<KeyValuePair<string, string>> headers, CancellationToken cancellationToken)
    {
        Uri list = new(endpoint, IsChat(endpoint) ? "../models" : "models");
        using OpenAiGenerationClient client = new(endpoint, "", tokenizer: null, headers: headers);
        try
        {
            using HttpResponseMessage response = await client._http.GetAsync(list, cancellationToken);
            string body = await response.Content.ReadAsStringAsync(cancellationToken);
            JsonArray? models = response.IsSuccessStatusCode ? JsonNode.Parse(body)?["data"] as JsonArray : null;
            return models?.FirstOrDefault()?["id"]?.GetValue<string>()
                ?? throw new InvalidOperationException($"{list} lists no model ({(int)response.StatusCode}: {Head(body)}); name it with --model");
        }
        catch (HttpRequestException exception)
        {
            throw new InvalidOperationException($"{list} does not answer: {exception.Message}", exception);
        }
        catch (JsonException exception)
        {
            throw new InvalidOperationException($"{list} lists no model; name it with --model", exception);
        }
    }

    public async Task SendAsync(LoadRequest request, RequestRecord record, CancellationToken cancellationToken)
    {
        // Written before the clock starts: a long prompt's JSON is no time of the server's.
        ByteArrayContent content = new(JsonSerializer.SerializeToUtf8Bytes(Body(request)));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using HttpRequestMessage message = new(HttpMethod.Post, _endpoint) { Content = content };
        record.MarkSent();
        try
        {
            using HttpResponseMessage response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            if (!response.IsSuccessStatusCode)
            {
                record.MarkFailed($"{(int)response.StatusCode}: {Head(await response.Content.ReadAsStringAsync(cancellationToken))}");
                return;
            }

            await new AnswerStream(record, _tokenizer).ReadAsync(await response.Content.ReadAsStreamAsync(cancellationToken), cancellationToken);
        }
        catch (Exception exception) when (
            exception is HttpRequestException or IOException or JsonException or InvalidOperationException && !cancellationToken.IsCancellationRequested)
        {
            record.MarkFailed(exception.Message);
        }
    }

    public void Dispose() => _http.Dispose();

    /// <summary>The beginning of what a server says of a failure.</summary>
    public static string Head(string text) => text.Length <= 200 ? text : text[..200] + "…";

    private JsonObject Body(LoadRequest request)
    {
        JsonObject body = new()
        {
            ["model"] = _model,
            ["max_tokens"] = request.OutputTokens,
            ["temperature"] = 0,
            ["ignore_eos"] = true,
            ["stream"] = true,
            ["stream_options"] = new JsonObject { ["include_usage"] = true },
        };
        if (_isChat)
        {
            body["messages"] = new JsonArray([.. request.Messages.Select(message =>
                new JsonObject { ["role"] = message.Role, ["content"] = message.Text ?? TextOf(message.Ids) })]);
        }
        else
        {
            body["prompt"] = _sendsText ? TextOf(request.Prompt) : new JsonArray([.. request.Prompt.Select(id => JsonValue.Create(id))]);
        }

        return body;
    }

    private string TextOf(int[] ids) => _tokenizer!.Decode(ids, skipSpecialTokens: true);
}
