using System.Text.Json;

namespace LlamaServe.Models.Weights;

/// <summary>
/// A value inside a checkpoint's JSON file. Reading it as the wrong kind gives an error that names the file and the way
/// to the value. Files are bounded in size and depth, and no object may have the same key twice.
/// </summary>
internal readonly struct CheckpointJson
{
    private const int MaxDepth = 64;

    private readonly JsonElement _element;
    private readonly string _fileName;
    private readonly string _way;

    private CheckpointJson(JsonElement element, string fileName, string way)
    {
        _element = element;
        _fileName = fileName;
        _way = way;
    }

    public JsonValueKind Kind => _element.ValueKind;

    public bool IsNull => _element.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    /// <exception cref="CheckpointException">The file is absent, longer than <paramref name="maxBytes"/>, or not JSON.</exception>
    public static CheckpointJson Load(string path, int maxBytes)
    {
        using MappedFile file = MappedFile.Open(path);
        if (file.Length > maxBytes)
        {
            throw new CheckpointException(file.Name, $"{file.Length} bytes are more than the {maxBytes} allowed");
        }
        byte[] utf8 = new byte[file.Length];
        file.Read(0, utf8);
        return Parse(file.Name, utf8);
    }

    /// <exception cref="CheckpointException">The text is not JSON.</exception>
    public static CheckpointJson Parse(string fileName, ReadOnlyMemory<byte> utf8)
    {
        try
        {
            JsonDocumentOptions options = new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false };
            return new CheckpointJson(JsonDocument.Parse(utf8, options).RootElement, fileName, "");
        }
        catch (JsonException e)
        {
            throw new CheckpointException(fileName, "is not valid JSON: " + e.Message, e);
        }
        catch (InvalidOperationException e)
        {
            throw new CheckpointException(fileName, "has a key that is not valid Unicode", e);
        }
    }

    /// <summary>The value of a key, or one with <see cref="IsNull"/> where this object lacks it.</summary>
    public CheckpointJson Find(string key)
    {
        Expect(JsonValueKind.Object, "an object");
        string way = _way.Length == 0 ? key : _way + "." + key;
        return new CheckpointJson(_element.TryGetProperty(key, out JsonElement value) ? value : default, _fileName, way);
    }

    public CheckpointJson Get(string key)
    {
        CheckpointJson value = Find(key);
        return value.IsNull ? throw value.Error("is missing") : value;
    }

    public string Text()
    {
        Expect(JsonValueKind.String, "a string");
        try
        {
            return _element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw Error("is not valid Unicode");
        }
    }

    public long Integer() => _element.ValueKind == JsonValueKind.Number && _element.TryGetInt64(out long value)
        ? value
        : throw Error("must be an integer");

    public double Number() => _element.ValueKind == JsonValueKind.Number && _element.TryGetDouble(out double value) && double.IsFinite(value)
        ? value
        : throw Error("must be a finite number");

    public bool Boolean() => _element.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? _element.ValueKind == JsonValueKind.True
        : throw Error("must be true or false");

    public int Count()
    {
        Expect(JsonValueKind.Array, "an array");
        return _element.GetArrayLength();
    }

    public IEnumerable<CheckpointJson> Items()
    {
        Expect(JsonValueKind.Array, "an array");
        return Enumerate(this);

        static IEnumerable<CheckpointJson> Enumerate(CheckpointJson self)
        {
            string way = self._way + "[]";
            foreach (JsonElement item in self._element.EnumerateArray())
            {
                yield return new CheckpointJson(item, self._fileName, way);
            }
        }
    }

    public IEnumerable<(string Key, CheckpointJson Value)> Properties()
    {
        Expect(JsonValueKind.Object, "an object");
        return Enumerate(this);

        static IEnumerable<(string, CheckpointJson)> Enumerate(CheckpointJson self)
        {
            string way = self._way + ".*";
            foreach (JsonProperty property in self._element.EnumerateObject())
            {
                yield return (self.Name(property), new CheckpointJson(property.Value, self._fileName, way));
            }
        }
    }

    /// <summary>An error about this value.</summary>
    public CheckpointException Error(string problem) =>
        new(_fileName, _way.Length == 0 ? problem : $"{CheckpointException.Quote(_way)} {problem}");

    private string Name(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            throw Error("has a key that is not valid Unicode");
        }
    }

    private void Expect(JsonValueKind kind, string description)
    {
        if (_element.ValueKind != kind)
        {
            throw Error(_element.ValueKind == JsonValueKind.Undefined ? "is missing" : "must be " + description);
        }
    }
}
